// Masks that are not stored yet, kept in this browser.
const PREFIX = "unmask.draft.";

export function keep(sha256, draft) {
  try {
    localStorage.setItem(PREFIX + sha256, JSON.stringify(draft));
    return true;
  } catch {
    return false; // no room, or the browser keeps nothing
  }
}

export function recall(sha256) {
  try {
    return JSON.parse(localStorage.getItem(PREFIX + sha256));
  } catch {
    return null;
  }
}

export function forget(sha256) {
  try {
    localStorage.removeItem(PREFIX + sha256);
  } catch {
    // nothing was kept
  }
}

export function recallName() {
  try {
    return localStorage.getItem("unmask.annotator") ?? "";
  } catch {
    return "";
  }
}

export function keepName(name) {
  try {
    localStorage.setItem("unmask.annotator", name);
  } catch {
    // it has to be given again next time
  }
}
