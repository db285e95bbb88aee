/** Makes `built/`: one script, one style sheet and one picture, named by their content, and the page that names them. */

import { mkdir, readFile, rm, writeFile } from "node:fs/promises";
import { basename } from "node:path";
import { build } from "esbuild";

const FILES = ["app.js", "style.css", "icon.svg"];
const here = new URL("./", import.meta.url);
const target = new URL("built/", here);

await rm(target, { recursive: true, force: true });
const { metafile } = await build({
  absWorkingDir: here.pathname,
  entryPoints: FILES,
  outdir: target.pathname,
  entryNames: "[name]-[hash]",
  bundle: true,
  minify: true,
  format: "iife", // a browser never asks again for a module that failed to load
  loader: { ".svg": "copy" },
  banner: { js: "/*! with uPlot, (c) 2022 Leon Sorokin, MIT licence */" },
  metafile: true,
  logLevel: "warning",
});
let page = await readFile(new URL("index.html", here), "utf8");
for (const [path, { entryPoint }] of Object.entries(metafile.outputs)) {
  page = page.replaceAll(`/static/${basename(entryPoint)}`, `/static/${basename(path)}`);
}
await mkdir(target, { recursive: true });
await writeFile(new URL("index.html", target), page);
