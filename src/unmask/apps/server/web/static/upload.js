// One file to the service, with the progress of its upload.
import { Refused, parsed } from "./net.js";

/**
 * Send one file; gives the analysis. `advance` is called with the share that is sent.
 * Throws `Refused`, or TypeError where the connection broke.
 */
export function send(file, { key, batch, frames, evidence, advance = () => {} }) {
  const form = new FormData();
  if (frames) form.set("max_frames", frames);
  if (evidence) form.set("evidence", "true");
  form.set("file", file, file.name);
  const request = new XMLHttpRequest();
  request.open("POST", batch ? `/v1/analyses?batch=${batch}` : "/v1/analyses");
  request.setRequestHeader("Idempotency-Key", key);
  return new Promise((done, fail) => {
    request.upload.addEventListener("progress", (event) => {
      if (event.lengthComputable) advance(event.loaded / event.total);
    });
    request.addEventListener("error", () => fail(new TypeError("connection")));
    request.addEventListener("load", () => {
      const body = parsed(request.responseText);
      if (request.status < 300) return done(body);
      const wait = Number(request.getResponseHeader("Retry-After")) || null;
      return fail(new Refused(request.status, body, wait));
    });
    request.send(form);
  });
}
