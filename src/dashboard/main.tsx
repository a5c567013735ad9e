import { render } from "preact";
import "uplot/dist/uPlot.min.css";
import "./style.css";
import { App } from "./app.tsx";

const root = document.getElementById("page");
if (root) {
  // What stands there until this runs.
  root.replaceChildren();
  render(<App />, root);
}
