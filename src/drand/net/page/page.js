// The page of a node or relay. Everything it shows comes from the v2 API beside it.

import { checkDraw, forgetLookUp, lookUp } from "./look.js";
import { $, api, ask, clock, drawing, element, moment, number, reason, seconds, span } from "./parts.js";
import { fromHex, sha256, toHex } from "./sha256.js";

const RECENT = 8, MEASURED = 60, SHOWN_SIGNERS = 40;
const ASK_AGAIN_MS = 3000;
const CLOCK_OFF_S = 5; // from where on a difference to the server's clock is worth a word; its Date has whole seconds

let chain = null; // {hash, info}
let stream = null;
let linked = "waiting"; // the stream: waiting, live or lost
let rounds = []; // newest first: {round, randomness, late_s or null}
const chains = new Map();

/** There is no chain to show, and why; "" once there is one. `kind` is wait where nothing is wrong. */
function complain(text, kind = "") {
  if ($("trouble").textContent !== text) $("trouble").textContent = text;
  $("trouble").classList.toggle("wait", kind === "wait");
  $("trouble").hidden = !text;
  document.body.classList.toggle("none", Boolean(text));
}

const due = (round) => chain.info.genesis_time + (round - 1) * chain.info.period;

// ---------------------------------------------------------------- the latest round

function showBits(bytes) {
  const dots = $("bits");
  if (!dots.childElementCount) {
    for (let i = 0; i < 256; i += 1) dots.append(drawing("circle", { cx: 5 + (i % 16) * 10, cy: 5 + Math.floor(i / 16) * 10, r: 1.6 }));
  }
  [...dots.children].forEach((dot, i) => {
    const on = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
    dot.setAttribute("r", on ? 4.2 : 1.6);
    dot.setAttribute("opacity", on ? 1 : 0.35);
  });
}

function arrival({ round, late_s }) {
  const at = `due at ${clock(due(round))}`;
  if (late_s === null) return `It was ${at}, and here before you came.`;
  if (late_s < 0) return `Here ${seconds(-late_s)} before it was ${at}, by this computer's clock.`;
  return `Here ${seconds(late_s)} after it was ${at}.`;
}

function showLatest() {
  const [latest] = rounds;
  $("round").textContent = number(latest.round);
  $("round").dataset.round = latest.round;
  $("randomness").textContent = latest.randomness;
  $("copy").disabled = false;
  $("copied").textContent = "";
  $("arrival").textContent = arrival(latest);
  document.title = `${latest.round} · ${chain.info.beacon_id} · drand`;
  showBits(fromHex(latest.randomness));
}

/** One row more at the top of the table. The others stay, so that nobody's focus is lost. */
function showRecent(one, live) {
  const body = $("recent").tBodies[0], row = element("tr", "", live ? "fresh" : ""), look = element("button", number(one.round));
  look.type = "button";
  look.title = `Verify round ${one.round}`;
  look.addEventListener("click", () => lookUp(String(one.round), chain));
  const cell = element("td");
  cell.append(look);
  row.append(cell, element("td", clock(due(one.round))), element("td", one.late_s === null ? "–" : seconds(one.late_s)),
    element("td", `${one.randomness.slice(0, 16)}…`, "mono"));
  body.prepend(row);
  while (body.rows.length > RECENT) {
    const focused = body.lastElementChild.contains(document.activeElement);
    body.lastElementChild.remove();
    if (focused) body.lastElementChild.querySelector("button").focus({ preventScroll: true });
  }
}

function showLateness() {
  const measured = rounds.filter((one) => one.late_s !== null).slice(0, MEASURED).reverse();
  if (!measured.length) return;
  const late = measured.map((one) => Math.max(one.late_s, 0));
  const worst = Math.max(...late), width = 480 / MEASURED;
  const top = [0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 20, 60].find((one) => one >= worst) ?? worst;
  $("lateness").replaceChildren(
    ...[0, 60, 120].map((y) => drawing("line", { x1: 0, x2: 480, y1: y, y2: y })),
    ...late.map((s, i) => {
      const height = Math.max((s / top) * 116, 2);
      return drawing("rect", { x: 480 - (late.length - i) * width + 1, y: 120 - height, width: width - 2, height, class: s > 1 ? "late" : "" });
    }),
  );
  for (const [id, value] of [["axis-top", top], ["axis-middle", top / 2], ["axis-zero", 0]]) $(id).textContent = value ? seconds(value) : "0";
  const sorted = [...late].sort((a, b) => a - b);
  $("late-summary").textContent = `Median ${seconds(sorted[sorted.length >> 1])}, worst ${seconds(sorted.at(-1))}, of the ${late.length === 1 ? "one round" : `${late.length} rounds`} since you came; the latest at the right.`;
}

function take(beacon, live) {
  if (rounds.length && beacon.round <= rounds[0].round) return;
  const late_s = live ? Date.now() / 1000 - due(beacon.round) : null;
  // One that is replayed after a pause was not late by as much as it seems.
  const measured = late_s !== null && late_s < chain.info.period ? late_s : null;
  rounds.unshift({ round: beacon.round, randomness: toHex(sha256(fromHex(beacon.signature))), late_s: measured });
  rounds.length = Math.min(rounds.length, MEASURED);
  showRecent(rounds[0], live);
  if (!live) return;
  showLatest();
  showLateness();
  showSigners();
  tick();
}

/** How many rounds are due and not here; the one that is due just now does not count. */
function behind(now) {
  const { genesis_time: genesis, period } = chain.info;
  if (!rounds.length && now < genesis + period) return 0;
  return Math.max(Math.floor((now - genesis) / period) + 1 - (rounds[0]?.round ?? 0), 0);
}

function tick() {
  if (!chain) return;
  const now = Date.now() / 1000, { genesis_time: genesis, period } = chain.info;
  const coming = now < genesis ? 1 : Math.floor((now - genesis) / period) + 2;
  const left = due(coming) - now, missing = behind(now);
  $("progress").style.transform = `scaleX(${missing > 1 ? 0 : Math.min(Math.max(1 - left / period, 0), 1).toFixed(4)})`;
  if (linked === "lost") state("lost", "reconnecting", "No connection to this server. It is tried again by itself.");
  else if (linked === "waiting") state("waiting", "connecting", "\u00a0");
  else if (missing > 1) state("behind", "behind", `${number(missing)} rounds are due and not here: the chain halted, or this server is behind.`);
  else if (now < genesis) state("waiting", "not begun", `Round 1 is due in ${span(left)}.`);
  else state("live", "live", `Round ${number(coming)} is due in ${span(left)}.`);
  if (!rounds.length) $("arrival").textContent = now < genesis ? `This chain begins at ${moment(genesis)} your time.` : "No round is here yet.";
}

/** The pill and the line below the bar; a change of state is said aloud, the countdown is not. */
function state(name, text, line) {
  $("next").textContent = line;
  if ($("state").dataset.state === name && $("state").textContent === text) return;
  $("state").dataset.state = name;
  $("state").textContent = text;
  $("said").textContent = { live: "Connected. Rounds appear as they come.", waiting: "" }[name] ?? line;
}

// ---------------------------------------------------------------- the stream

function link(to) {
  linked = to;
  tick();
}

function listen() {
  stream?.close();
  const from = rounds.length ? `?from=${rounds[0].round + 1}` : "";
  const mine = new EventSource(api(`chains/${chain.hash}/events${from}`));
  stream = mine;
  mine.onopen = () => link("live");
  mine.onmessage = (event) => take(JSON.parse(event.data), true);
  mine.onerror = () => {
    link("lost");
    if (mine.readyState === EventSource.CLOSED) setTimeout(() => stream === mine && listen(), ASK_AGAIN_MS);
  };
}

// ---------------------------------------------------------------- the chain

function showInfo() {
  const { info, hash } = chain;
  const facts = [
    ["Beacon", info.beacon_id], ["Scheme", info.scheme], ["Period", `${info.period} s`],
    ["Genesis", new Date(info.genesis_time * 1000).toISOString().replace(".000", "")],
    ["Chain hash", hash, "mono"], ["Public key", info.public_key, "mono"], ["Genesis seed", info.genesis_seed, "mono"],
  ];
  $("info").replaceChildren(...facts.flatMap(([name, value, look]) => [element("dt", name), element("dd", value, look)]));
  $("yourself").textContent = `curl -s ${api(`chains/${hash}/info`)} > chain.json\ncurl -s ${api(`chains/${hash}/rounds/latest`)} | drand verify --chain chain.json`;
  $("info-link").href = api(`chains/${hash}/info`);
  $("events-link").href = api(`chains/${hash}/events`);
}

async function showSigners() {
  const asked = chain;
  if (asked.signersUnknown) return;
  let known;
  try {
    known = await ask(`chains/${asked.hash}/signers`);
  } catch (error) {
    asked.signersUnknown = error.status === 404; // a relay; anything else is over with the next round
    return;
  }
  if (asked !== chain) return;
  const last = known.rounds.slice(-SHOWN_SIGNERS);
  $("who").hidden = false;
  $("who-about").textContent = `${known.threshold} of ${known.members.length} partial signatures make a round; these came first at this node.`;
  $("signers").tBodies[0].replaceChildren(...known.members.map((member) => {
    const row = element("tr"), cell = element("td"), marks = element("span", "", "marks");
    const made = last.filter((one) => one.signers.includes(member.index));
    marks.setAttribute("role", "img");
    marks.setAttribute("aria-label", `in ${made.length} of the last ${last.length} rounds`);
    marks.append(...last.map((one) => element("i", "", one.signers.includes(member.index) ? "on" : "")));
    cell.append(marks);
    row.append(element("td", member.address, "mono"), element("td", String(member.index)), cell);
    return row;
  }));
}

// ---------------------------------------------------------------- beginning

/** As before any round, so that nothing of another chain stays. */
function clear() {
  stream?.close();
  rounds = [];
  linked = "waiting";
  $("round").textContent = "–";
  delete $("round").dataset.round;
  $("copy").disabled = true;
  for (const id of ["randomness", "arrival", "copied", "axis-top", "axis-middle", "axis-zero"]) $(id).textContent = "";
  $("late-summary").textContent = "Nothing measured yet: it begins with the next round.";
  $("lateness").replaceChildren(...[0, 60, 120].map((y) => drawing("line", { x1: 0, x2: 480, y1: y, y2: y })));
  $("recent").tBodies[0].replaceChildren();
  $("who").hidden = true;
  showBits(new Uint8Array(32));
  forgetLookUp();
}

async function choose(hash) {
  clear();
  const mine = chain = chains.get(hash);
  showInfo();
  showSigners();
  tick();
  const head = await ask(`chains/${hash}/rounds/latest`).catch(() => null);
  if (head && mine === chain) {
    const from = Math.max(head.round - RECENT + 1, 1);
    const answer = await fetch(api(`chains/${hash}/rounds?from=${from}&to=${head.round}`)).catch(() => null);
    const lines = answer?.ok ? (await answer.text()).trim().split("\n").map((line) => JSON.parse(line)) : [];
    if (mine !== chain) return; // another one was chosen meanwhile
    for (const beacon of [...lines, head]) take(beacon, false);
    showLatest();
  }
  if (mine === chain) listen();
}

/** A word where the server's clock and this computer's differ, as all times here are this computer's. */
async function compareClocks() {
  const answer = await fetch(api("chains"), { cache: "no-store" });
  const off = Date.now() / 1000 - 0.5 - Date.parse(answer.headers.get("Date")) / 1000;
  $("clocks").hidden = !(Math.abs(off) > CLOCK_OFF_S);
  $("clocks").textContent = `This computer's clock is about ${span(Math.abs(off) - 0.5)} ${off > 0 ? "ahead of" : "behind"} this server's. One of them is wrong, and what this page says about lateness with it.`;
}

async function begin() {
  let hashes;
  try {
    hashes = await ask("chains");
    const known = await Promise.allSettled(hashes.map(async (hash) => ({ hash, info: await ask(`chains/${hash}/info`) })));
    for (const one of known) if (one.status === "fulfilled") chains.set(one.value.hash, one.value);
    if (hashes.length && !chains.size) throw known[0].reason;
    complain(chains.size ? "" : "This server has no chain yet: the key generation is still to be held. The chain appears here by itself.", "wait");
  } catch (error) {
    complain(`${reason(error)} It is tried again by itself.`);
  }
  if (!chains.size) return void setTimeout(begin, ASK_AGAIN_MS);
  $("chain").disabled = false;
  $("chain").replaceChildren(...[...chains.values()].map(({ hash, info }) => {
    const option = element("option", `${info.beacon_id} · ${hash.slice(0, 8)}`);
    option.value = hash;
    return option;
  }));
  const named = location.hash.slice(1);
  const first = chains.has(named) ? named : ([...chains.values()].find(({ info }) => info.beacon_id === "default") ?? [...chains.values()][0]).hash;
  $("chain").value = first;
  setInterval(tick, 250);
  compareClocks().catch(() => { /* the stream says it, too */ });
  await choose(first);
}

$("theme").addEventListener("click", () => {
  const root = document.documentElement;
  const dark = root.dataset.theme ? root.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  root.dataset.theme = dark ? "light" : "dark";
  try { localStorage.setItem("theme", root.dataset.theme); } catch { /* a browser that keeps nothing */ }
});
// A page that was left must not keep one of the six connections that a browser has for a host.
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => { if (event.persisted && chain) listen(); });
addEventListener("hashchange", () => {
  const hash = location.hash.slice(1);
  if (!chains.has(hash) || hash === chain?.hash) return;
  $("chain").value = hash;
  choose(hash);
});
$("chain").addEventListener("change", (event) => {
  history.replaceState(null, "", `#${event.target.value}`); // no step of its own for the "back" button
  choose(event.target.value);
});
$("look").addEventListener("submit", (event) => { event.preventDefault(); if (chain) lookUp($("wanted").value.trim(), chain); });
$("draw").addEventListener("submit", (event) => { event.preventDefault(); checkDraw($("receipt").files[0]); });
$("copy").addEventListener("click", async () => {
  try {
    await navigator.clipboard.writeText($("randomness").textContent);
    $("copied").textContent = "Copied.";
  } catch {
    getSelection().selectAllChildren($("randomness"));
    $("copied").textContent = "Selected: press Ctrl+C.";
  }
});
showBits(new Uint8Array(32));
begin();
