// The sentences and data that the server put into the page.
const read = (id) => JSON.parse(document.getElementById(id).textContent);

export const words = read("words");
export const data = read("data");

/** `text` with every `{name}` replaced by `values.name`. */
export function fill(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => (name in values ? String(values[name]) : whole));
}

/** Say a sentence of the page, filled in. */
export const say = (name, values) => fill(words[name], values);

/** A file name that may be broken after `_` and `.`, as nodes to append. */
export const breakable = (name) =>
  name.split(/([_.])/).flatMap((part) =>
    (part === "_" || part === "." ? [part, document.createElement("wbr")] : [part]));

/** Bytes with one decimal unit, as the report writes them. */
export function size(bytes) {
  for (const [unit, one] of [["GB", 1e9], ["MB", 1e6], ["kB", 1e3]]) {
    if (bytes >= one) return `${(bytes / one).toFixed(1)} ${unit}`;
  }
  return `${bytes} bytes`;
}
