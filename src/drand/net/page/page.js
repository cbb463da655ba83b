// The page of a node or relay. Everything it shows comes from the v2 API beside it.

import { checkReceipt } from "./draw.js";
import { fromHex, sha256, toHex } from "./sha256.js";

const RECENT = 8, MEASURED = 60, SHOWN_SIGNERS = 40;
const $ = (id) => document.getElementById(id);
const api = (path) => new URL(`v2/${path}`, document.baseURI);
const number = new Intl.NumberFormat("en").format;

let chain = null; // {hash, info}
let stream = null;
let rounds = []; // newest first: {round, randomness, late_s or null}
const chains = new Map();

async function ask(path) {
  const answer = await fetch(api(path), { headers: { Accept: "application/json" } });
  const body = await answer.json();
  if (!answer.ok) throw Object.assign(new Error(body.error ?? `status ${answer.status}`), { status: answer.status });
  return body;
}

function element(tag, text = "", className = "") {
  const made = document.createElement(tag);
  made.textContent = text;
  if (className) made.className = className;
  return made;
}

function drawing(tag, attributes) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) made.setAttribute(name, value);
  return made;
}

function complain(text) {
  $("trouble").textContent = text;
  $("trouble").hidden = !text;
}

const due = (round) => chain.info.genesis_time + (round - 1) * chain.info.period;
const seconds = (s) => (Math.abs(s) < 1 ? `${Math.round(s * 1000)} ms` : `${s.toFixed(1)} s`);
const clock = (unix) => new Date(unix * 1000).toLocaleTimeString([], { hour12: false });

// ---------------------------------------------------------------- the latest round

function showBits(hex) {
  const bytes = fromHex(hex);
  const dots = $("bits");
  if (!dots.childElementCount) {
    for (let i = 0; i < 256; i += 1) dots.append(drawing("circle", { cx: 5 + (i % 16) * 10, cy: 5 + Math.floor(i / 16) * 10, r: 4 }));
  }
  [...dots.children].forEach((dot, i) => {
    const on = (bytes[i >> 3] >> (7 - (i & 7))) & 1;
    dot.setAttribute("r", on ? 4.2 : 1.6);
    dot.setAttribute("opacity", on ? 1 : 0.35);
  });
}

function showLatest() {
  const [latest] = rounds;
  if (!latest) return;
  $("round").textContent = number(latest.round);
  $("round").dataset.round = latest.round;
  $("randomness").textContent = latest.randomness;
  $("arrival").textContent = latest.late_s === null
    ? `Due at ${clock(due(latest.round))}; it was here before you came.`
    : `Here ${seconds(latest.late_s)} after it was due at ${clock(due(latest.round))}.`;
  document.title = `${latest.round} · ${chain.info.beacon_id} · drand`;
  showBits(latest.randomness);
}

function showRecent() {
  const rows = rounds.slice(0, RECENT).map((one, place) => {
    const row = element("tr", "", place === 0 && one.late_s !== null ? "fresh" : "");
    const look = element("button", number(one.round));
    look.type = "button";
    look.addEventListener("click", () => lookUp(String(one.round)));
    const cell = element("td");
    cell.append(look);
    row.append(cell, element("td", clock(due(one.round))), element("td", one.late_s === null ? "–" : seconds(one.late_s)),
      element("td", `${one.randomness.slice(0, 16)}…`, "mono"));
    return row;
  });
  $("recent").tBodies[0].replaceChildren(...rows);
}

function showLateness() {
  const measured = rounds.filter((one) => one.late_s !== null).slice(0, MEASURED).reverse();
  if (!measured.length) return;
  const late = measured.map((one) => Math.max(one.late_s, 0));
  const worst = Math.max(...late), width = 480 / MEASURED;
  const top = [0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10].find((one) => one >= worst) ?? worst;
  $("lateness").replaceChildren(
    ...[0, 60, 120].map((y) => drawing("line", { x1: 0, x2: 480, y1: y, y2: y })),
    ...late.map((s, i) => {
      const height = Math.max((s / top) * 116, 2);
      return drawing("rect", { x: i * width + 1, y: 120 - height, width: width - 2, height, rx: 1, class: s > 1 ? "late" : "" });
    }),
  );
  const sorted = [...late].sort((a, b) => a - b);
  $("late-summary").textContent = `Median ${seconds(sorted[sorted.length >> 1])}, worst ${seconds(sorted.at(-1))} of ${late.length} rounds; the top line is ${seconds(top)}.`;
}

function take(beacon, live) {
  if (rounds.length && beacon.round <= rounds[0].round) return;
  const late_s = live ? Date.now() / 1000 - due(beacon.round) : null;
  // One that is replayed after a pause was not late by as much as it seems.
  const measured = late_s !== null && late_s < chain.info.period ? late_s : null;
  rounds.unshift({ round: beacon.round, randomness: toHex(sha256(fromHex(beacon.signature))), late_s: measured });
  rounds.length = Math.min(rounds.length, MEASURED);
  showLatest();
  showRecent();
  showLateness();
  if (live) showSigners();
}

function tick() {
  if (!chain) return;
  const now = Date.now() / 1000, { genesis_time: genesis, period } = chain.info;
  const coming = now < genesis ? 1 : Math.floor((now - genesis) / period) + 2;
  const left = due(coming) - now;
  $("progress").style.transform = `scaleX(${Math.min(Math.max(1 - left / period, 0), 1).toFixed(4)})`;
  const behind = rounds.length ? coming - 1 - rounds[0].round : 0;
  $("next").textContent = behind > 1
    ? `${number(behind)} rounds are due and not here: the chain halted, or this server is behind.`
    : `Round ${number(coming)} in ${Math.max(Math.ceil(left), 0)} s`;
}

// ---------------------------------------------------------------- the stream

function state(name, text) {
  $("state").dataset.state = name;
  $("state").textContent = text;
}

function listen() {
  stream?.close();
  const from = rounds.length ? `?from=${rounds[0].round + 1}` : "";
  stream = new EventSource(api(`chains/${chain.hash}/events${from}`));
  stream.onopen = () => state("live", "live");
  stream.onmessage = (event) => take(JSON.parse(event.data), true);
  stream.onerror = () => {
    state("lost", "reconnecting");
    if (stream.readyState === EventSource.CLOSED) setTimeout(listen, 3000);
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
  $("info-link").href = api(`chains/${hash}/info`);
  $("events-link").href = api(`chains/${hash}/events`);
}

async function showSigners() {
  if (chain.signersUnknown) return;
  const asked = chain;
  let known;
  try {
    known = await ask(`chains/${chain.hash}/signers`);
  } catch (error) {
    asked.signersUnknown = error.status === 404;
    $("who").hidden = true;
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

// ---------------------------------------------------------------- a round looked up

function verdict(kind, headline, ...more) {
  const box = element("div", "", `verdict ${kind}`);
  box.append(element("strong", headline), ...more);
  return box;
}

async function lookUp(text) {
  $("wanted").value = text;
  const place = $("verdict");
  try {
    const found = await ask(`chains/${chain.hash}/rounds/${text}/check`);
    const agrees = toHex(sha256(fromHex(found.signature))) === found.randomness;
    const facts = element("dl", "", "inner");
    for (const [name, value] of [["Due", found.due], ["Randomness", found.randomness], ["Signature", found.signature],
      ["Previous", found.previous_signature], ["Signed", found.digest]]) {
      if (value) facts.append(element("dt", name), element("dd", value, name === "Due" ? "" : "mono"));
    }
    place.replaceChildren(found.valid && agrees
      ? verdict("good", `✓ Round ${number(found.round)} is valid`, element("span", "This server verified the group's signature just now; the randomness is its SHA-256."), facts)
      : verdict("bad", `✗ Round ${number(found.round)} is NOT valid`, element("span", found.error ?? "the randomness is not the SHA-256 of the signature"), facts));
  } catch (error) {
    place.replaceChildren(verdict(error.status === 425 ? "wait" : "bad", error.status === 425 ? "Too early" : "Not found", element("span", error.message)));
  }
}

// ---------------------------------------------------------------- a draw checked

async function beaconClaims(receipt) {
  const claims = [];
  try {
    const hash = String(receipt.chain.chain_hash);
    const info = await ask(`chains/${encodeURIComponent(hash)}/info`);
    claims.push({ claim: `its chain is ${info.beacon_id}, served here`, holds: Object.keys(info).every((name) => info[name] === receipt.chain[name]) });
    const found = await ask(`chains/${encodeURIComponent(hash)}/rounds/${encodeURIComponent(receipt.beacon.round)}/check`);
    claims.push({ claim: `round ${found.round} is valid, and the one in the receipt`, holds: found.valid && found.signature === receipt.beacon.signature });
  } catch (error) {
    claims.push({ claim: `the chain and its round could be checked here (${error.message})`, holds: false });
  }
  return claims;
}

async function checkDraw(file) {
  const place = $("drawn");
  try {
    const receipt = JSON.parse(await file.text());
    const { claims, winners } = checkReceipt(receipt);
    const all = [...claims, ...await beaconClaims(receipt)];
    const good = all.every((one) => one.holds);
    const list = element("ul");
    list.append(...all.map((one) => element("li", `${one.holds ? "✓" : "✗"} ${one.claim}`)));
    const named = element("ol", "", "inner");
    named.append(...winners.slice(0, 100).map((name) => element("li", name)));
    place.replaceChildren(verdict(good ? "good" : "bad", good ? "✓ The draw is good" : "✗ The draw is NOT good", list,
      ...(good ? [element("span", winners.length > 100 ? `The first 100 of ${winners.length} winners:` : "Winners:"), named] : [])));
  } catch (error) {
    place.replaceChildren(verdict("bad", "✗ Not checked", element("span", error.message)));
  }
}

// ---------------------------------------------------------------- beginning

async function choose(hash) {
  stream?.close();
  state("waiting", "connecting");
  chain = chains.get(hash);
  rounds = [];
  $("verdict").replaceChildren();
  showInfo();
  showSigners();
  const head = await ask(`chains/${hash}/rounds/latest`).catch(() => null);
  if (head) {
    const from = Math.max(head.round - RECENT + 1, 1);
    const answer = await fetch(api(`chains/${hash}/rounds?from=${from}&to=${head.round}`));
    const lines = answer.ok ? (await answer.text()).trim().split("\n").map((line) => JSON.parse(line)) : [];
    for (const beacon of [...lines, head]) take(beacon, false);
  }
  listen();
}

async function begin() {
  const hashes = await ask("chains");
  for (const hash of hashes) chains.set(hash, { hash, info: await ask(`chains/${hash}/info`) });
  if (!chains.size) return complain("This server has no chain yet: its key generation is still to be held.");
  $("chain").replaceChildren(...[...chains.values()].map(({ hash, info }) => {
    const option = element("option", `${info.beacon_id} · ${hash.slice(0, 8)}`);
    option.value = hash;
    return option;
  }));
  const named = location.hash.slice(1);
  const first = chains.has(named) ? named : [...chains.values()].find(({ info }) => info.beacon_id === "default")?.hash ?? hashes[0];
  $("chain").value = first;
  await choose(first);
  setInterval(tick, 250);
  tick();
}

const stored = { get: () => { try { return localStorage.getItem("theme"); } catch { return null; } },
  set: (name) => { try { localStorage.setItem("theme", name); } catch { /* a browser that keeps nothing */ } } };

if (stored.get()) document.documentElement.dataset.theme = stored.get();
$("theme").addEventListener("click", () => {
  const dark = document.documentElement.dataset.theme
    ? document.documentElement.dataset.theme === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
  document.documentElement.dataset.theme = dark ? "light" : "dark";
  stored.set(document.documentElement.dataset.theme);
});
// A page that was left must not keep one of the six connections that a browser has for a host.
addEventListener("pagehide", () => stream?.close());
addEventListener("pageshow", (event) => { if (event.persisted && chain) listen(); });
$("chain").addEventListener("change", (event) => { location.hash = event.target.value; choose(event.target.value); });
$("look").addEventListener("submit", (event) => { event.preventDefault(); lookUp($("wanted").value.trim()); });
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
begin().catch((error) => complain(`This server does not answer: ${error.message}`));
