/** ARMORHOOKS_TEST_PYTHON names one more interpreter, such as the oldest that is supported. */
const named = process.env["ARMORHOOKS_TEST_PYTHON"];

/** The interpreters with which the Python package is tested. */
export const PYTHONS: readonly string[] = named ? ["python3", named] : ["python3"];
