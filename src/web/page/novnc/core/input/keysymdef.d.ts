// noVNC's table from Unicode to X11 keysyms, as far as the page uses it.

declare const keysyms: {
  /** The keysym that types this code point. */
  lookup(codePoint: number): number;
};

// biome-ignore lint/style/noDefaultExport: noVNC's modules export this way.
export { keysyms as default };
