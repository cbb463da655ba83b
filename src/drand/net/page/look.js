// A round looked up, and a draw's receipt checked. What is found is put into `#verdict` and `#drawn`.

import { checkReceipt } from "./draw.js";
import { $, ask, element, moment, number, reason, span, verdict } from "./parts.js";
import { fromHex, sha256, toHex } from "./sha256.js";

const PATIENCE_MS = 300; // an answer that comes sooner needs no "verifying"
let asked = 0; // which look-up is the newest: a slow older answer must not replace it

// ---------------------------------------------------------------- a round looked up

function opinion(found) {
  const agrees = toHex(sha256(fromHex(found.signature))) === found.randomness;
  const facts = element("dl", "", "inner");
  for (const [name, value] of [["Due", found.due], ["Randomness", found.randomness], ["Signature", found.signature],
    ["Previous signature", found.previous_signature], ["Digest signed", found.digest]]) {
    if (value) facts.append(element("dt", name), element("dd", value, name === "Due" ? "" : "mono"));
  }
  return found.valid && agrees
    ? verdict("good", `✓ Round ${number(found.round)} is valid`, element("span", "This server verified the group's signature on it; the randomness is the signature's SHA-256, computed again in your browser."), facts)
    : verdict("bad", `✗ Round ${number(found.round)} is NOT valid`, element("span", found.error ?? "the randomness is not the SHA-256 of the signature"), facts);
}

function refusal(error, text, info) {
  if (error.status === 425) {
    const due = info.genesis_time + (Number(text) - 1) * info.period, at = moment(due);
    const when = `Round ${number(BigInt(text))} is due in ${span(due - Date.now() / 1000)}${at ? `, at ${at} your time` : ""}.`;
    return verdict("wait", "Too early", element("span", when));
  }
  const headline = { 400: "Not a round", 404: "Not found", undefined: "No answer" }[error.status] ?? "Not now";
  return verdict("bad", headline, element("span", reason(error)));
}

/** Show the verdict on round `text` of a chain: {hash, info}. */
export async function lookUp(text, { hash, info }) {
  const wanted = text.replace(/[\s,._'’]/g, ""); // as this page writes numbers, and as other people do
  const place = $("verdict"), mine = asked += 1;
  $("wanted").value = wanted || text;
  let shown;
  if (/^[1-9]\d{0,19}$/.test(wanted)) {
    const waiting = setTimeout(() => mine === asked && place.replaceChildren(verdict("wait", `Verifying round ${number(BigInt(wanted))} …`)), PATIENCE_MS);
    shown = await ask(`chains/${hash}/rounds/${wanted}/check`).then(opinion, (error) => refusal(error, wanted, info));
    clearTimeout(waiting);
  } else {
    shown = verdict("bad", "Not a round", element("span", "Rounds are numbered 1, 2, 3 and so on."));
  }
  if (mine !== asked) return;
  place.replaceChildren(shown);
  place.scrollIntoView({ block: "nearest" }); // asked from the table on a phone, it is far below
}

/** Forget what was looked up: another chain was chosen. */
export function forgetLookUp() {
  asked += 1;
  $("verdict").replaceChildren();
}

// ---------------------------------------------------------------- a draw checked

/** What this server says to a receipt's chain and round; `holds` is null where it cannot tell. */
async function beaconClaims(receipt) {
  try {
    const hash = encodeURIComponent(receipt.chain.chain_hash);
    const info = await ask(`chains/${hash}/info`);
    const found = await ask(`chains/${hash}/rounds/${encodeURIComponent(receipt.beacon.round)}/check`);
    return [
      { claim: `its chain is ${info.beacon_id}, served here`, holds: Object.keys(info).every((name) => info[name] === receipt.chain[name]) },
      { claim: `round ${found.round} is valid, and the one in the receipt`, holds: found.valid && found.signature === receipt.beacon.signature },
    ];
  } catch (error) {
    return [{ claim: `its round is valid: not known here (${reason(error)})`, holds: null }];
  }
}

function listed(claims) {
  const list = element("ul", "", "claims");
  list.append(...claims.map(({ claim, holds }) => {
    const [mark, said, look] = holds === null ? ["?", "not known: ", "unknown"] : holds ? ["✓", "holds: ", "yes"] : ["✗", "does not hold: ", "no"];
    const item = element("li", "", look), sign = element("span", mark, "mark");
    sign.setAttribute("aria-hidden", "true");
    item.append(sign, element("span", said, "hidden"), element("span", claim));
    return item;
  }));
  return list;
}

async function drawVerdict(file) {
  const receipt = JSON.parse(await file.text());
  const { claims, winners } = checkReceipt(receipt);
  const all = [...claims, ...await beaconClaims(receipt)];
  if (all.some((one) => one.holds === false)) return verdict("bad", "✗ The draw is NOT good", listed(all));
  if (all.some((one) => one.holds === null)) {
    return verdict("wait", "Not fully checked", listed(all),
      element("span", "The list and the winners agree with the round that the receipt names. `drand draw --check` verifies that round, too."));
  }
  const named = element("ol", "", "inner");
  named.append(...winners.slice(0, 100).map((name) => element("li", name)));
  return verdict("good", "✓ The draw is good", listed(all), element("span", winners.length > 100 ? `The first 100 of ${winners.length} winners:` : "Winners:"), named);
}

/** Show the verdict on a receipt in a file. */
export async function checkDraw(file) {
  const place = $("drawn");
  const shown = await drawVerdict(file).catch((error) =>
    verdict("bad", "✗ Not checked", element("span", error instanceof SyntaxError ? "This file is no JSON, so no receipt of `drand draw`." : error.message)));
  place.replaceChildren(shown);
  place.scrollIntoView({ block: "nearest" });
}
