// Checking a draw receipt: docs/spec/sampling.md, version 1. Whether the beacon verifies is the caller's question.

import { fromHex, joined, sha256, toHex, utf8 } from "./sha256.js";

const FORMAT = "drand-draw-receipt/1";

/** A stream of choices from 32 bytes of randomness and a purpose. */
export class Sampler {
  constructor(randomness, purpose) {
    this.key = sha256(joined(utf8("drand-sampling-v1"), randomness, utf8(purpose)));
    this.blocks = 0;
    this.rest = [];
  }

  byte() {
    if (this.rest.length === 0) {
      const counter = new DataView(new ArrayBuffer(8));
      counter.setBigUint64(0, BigInt(this.blocks));
      this.blocks += 1;
      this.rest = Array.from(sha256(joined(this.key, new Uint8Array(counter.buffer)))).reverse();
    }
    return this.rest.pop();
  }

  /** A number from 0 to bound - 1, each equally likely. */
  below(bound) {
    const bits = bound > 1 ? (bound - 1).toString(2).length : 0;
    for (;;) {
      let value = 0;
      for (let taken = 0; taken < Math.ceil(bits / 8); taken += 1) value = value * 256 + this.byte();
      value %= 2 ** bits;
      if (value < bound) return value;
    }
  }

  /** `count` different positions below `size`, in the order drawn. */
  positions(size, count) {
    const moved = new Map(), drawn = [];
    for (let step = 0; step < count; step += 1) {
      const other = step + this.below(size - step);
      drawn.push(moved.get(other) ?? other);
      moved.set(other, moved.get(step) ?? step);
    }
    return drawn;
  }
}

const same = (a, b) => Array.isArray(a) && a.length === b.length && a.every((one, place) => one === b[place]);

/**
 * What a receipt claims, each claim with whether it holds: [{claim, holds}], and the winners.
 * Throws an Error where it is no receipt at all.
 */
export function checkReceipt(receipt) {
  if (receipt?.format !== FORMAT) throw new Error(`this is no receipt of the form ${FORMAT}`);
  const { entries, beacon, chain, winners_wanted: wanted } = receipt;
  if (typeof chain !== "object" || typeof beacon !== "object" || !chain || !beacon) throw new Error("the receipt lacks its chain or its round");
  if (!Array.isArray(entries)) throw new Error("the receipt leaves its list out; check it with `drand draw --check`");
  if (!entries.every((one) => typeof one === "string" && one !== "" && !one.includes("\n"))) throw new Error("an entry is no line of text");
  if (!Number.isSafeInteger(wanted) || wanted < 1 || wanted > entries.length) throw new Error("the number of winners cannot be");
  const listHash = toHex(sha256(utf8(entries.map((one) => `${one}\n`).join(""))));
  const due = chain.genesis_time + (beacon.round - 1) * chain.period;
  const randomness = sha256(fromHex(beacon.signature));
  const purpose = `drand-draw-v1/${listHash}/${wanted}`;
  const positions = new Sampler(randomness, purpose).positions(entries.length, wanted);
  const winners = positions.map((place) => entries[place]);
  return {
    winners,
    claims: [
      { claim: `the list of ${entries.length} is the one committed to`, holds: listHash === receipt.list_sha256 },
      { claim: "no entry occurs twice", holds: new Set(entries).size === entries.length },
      { claim: "it was committed to before the round was due", holds: receipt.committed_unix_s < due && due === receipt.round_due_unix_s },
      { claim: `round ${beacon.round} draws these winners from the list`, holds: same(receipt.positions, positions) && (receipt.winners === undefined || same(receipt.winners, winners)) },
    ],
  };
}
