// What the parts of the page share: asking the server, making elements, saying numbers and times.

export const $ = (id) => document.getElementById(id);
export const api = (path) => new URL(`v2/${path}`, document.baseURI);
export const number = new Intl.NumberFormat("en").format;
export const seconds = (s) => (Math.abs(s) < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(1)} s`);
export const clock = (unix) => new Date(unix * 1000).toLocaleTimeString([], { hour12: false });

/** The moment in the reader's own time zone; "" beyond the calendar. */
export function moment(unix) {
  const at = new Date(unix * 1000);
  return Number.isNaN(at.getTime()) ? "" : at.toLocaleString([], { dateStyle: "medium", timeStyle: "medium", hour12: false });
}

/** The two largest units of a time span, the seconds rounded up: "1 d 3 h". */
export function span(s) {
  let left = Math.max(Math.ceil(s), 0);
  const counts = [["y", 31557600], ["d", 86400], ["h", 3600], ["m", 60], ["s", 1]].map(([unit, size]) => {
    const count = Math.floor(left / size);
    left -= count * size;
    return [count, unit];
  });
  const largest = counts.findIndex(([count]) => count);
  const shown = largest < 0 ? [] : counts.slice(largest, largest + 2).filter(([count]) => count);
  return shown.map(([count, unit]) => `${number(count)} ${unit}`).join(" ") || "0 s";
}

/** The JSON that a path of the v2 API answers, never from the browser's cache; throws with `status` on an error. */
export async function ask(path) {
  const answer = await fetch(api(path), { headers: { Accept: "application/json" }, cache: "no-store" });
  const body = await answer.json().catch(() => ({ error: "what it answered is no JSON" }));
  if (!answer.ok || body === null) throw Object.assign(new Error(body?.error ?? `status ${answer.status}`), { status: answer.status });
  return body;
}

/** Why there is no answer, in words. */
export function reason(error) {
  return error instanceof TypeError && error.status === undefined
    ? "This server does not answer. Is it running, and are you connected?" : error.message;
}

export function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

export function drawing(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

/** A box with a headline: kind is good, bad or wait. */
export function verdict(kind, headline, ...more) {
  const box = element("div", "", `verdict ${kind}`);
  box.append(element("strong", headline), ...more);
  return box;
}
