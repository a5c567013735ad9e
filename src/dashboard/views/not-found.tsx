import { paths } from "../address.ts";
import { View } from "../parts/basics.tsx";

/** For an address that shows nothing. */
export function NotFound({ what }: { what: string }) {
  return (
    <View title="Not found">
      <h1>Not found</h1>
      <p>
        {what} It may have been deleted, or belong to another organization than this key.{" "}
        <a href={paths.overview}>Back to the start</a>
      </p>
    </View>
  );
}
