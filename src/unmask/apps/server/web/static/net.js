// Requests to the service, its problems as sentences, and waiting with back-off.
import { say, words } from "./words.js";

export class Refused extends Error {
  /** A problem: `status`, `detail` in words, `wait` in seconds where the service named one. */
  constructor(status, body, wait) {
    super(status === 401 ? words.loggedout : body?.detail || say("unknown", { status }));
    Object.assign(this, { status, body, wait });
  }
}

export const pause = (seconds) => new Promise((done) => setTimeout(done, 1000 * seconds));

const waitOf = (header) => (header && Number(header) > 0 ? Number(header) : null);

export function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** One request; its response if it succeeded. Throws `Refused`, or TypeError when nobody answers. */
export async function ask(path, options = {}) {
  const response = await fetch(path, { credentials: "same-origin", ...options });
  if (response.ok) return response;
  throw new Refused(
    response.status, parsed(await response.text()), waitOf(response.headers.get("Retry-After")),
  );
}

export const get = async (path) => (await ask(path)).json();

export const post = (path, body) =>
  ask(path, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  });

/** A step that may be tried again: nobody answered, or the service said to wait. */
export const passing = (error) =>
  !(error instanceof Refused) || [408, 429, 502, 503, 504].includes(error.status);

/**
 * Call `look` until it gives true, ever less often; what passes by itself is tried again.
 * The first waits are short, so that a quick analysis is shown quickly.
 */
export async function poll(look, { first = 0.4, most = 5 } = {}) {
  for (let wait = first; ; wait = Math.min(most, wait * 1.35)) {
    let asked = null;
    try {
      if (await look()) return;
      trouble(null);
    } catch (error) {
      if (!passing(error)) throw error;
      asked = error.wait;
      trouble(error instanceof Refused ? error.message : words.offline);
    }
    await pause(Math.max(asked ?? 0, document.hidden ? most : wait));
  }
}

/** Say what is wrong at the top of the page; null takes it away. */
export function trouble(text) {
  const place = document.getElementById("trouble");
  if (place.textContent === (text ?? "")) return;
  place.textContent = text ?? "";
  place.hidden = !text;
}

/** A key that no other request has, also where pages are not served over TLS. */
export function freshKey() {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(bytes, (b) => b.toString(16).padStart(2, "0")).join("");
}
