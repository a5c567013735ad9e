/** What one request carries at most: the present secret's signature, and those of the secrets before. */
export const MAX_SIGNATURES = 4;
