// How long does drand's JavaScript client take to verify a beacon?
//
//   node time_verification.mjs < {"info": {...}, "beacons": [...]}
//
// The beacons come from memory, through fetchBeacon with verification on. Prints the median in milliseconds; the first
// one, which warms the compiler up, does not count.
import { readFileSync } from 'node:fs'
import { performance } from 'node:perf_hooks'
import { fetchBeacon } from 'drand-client'

const { info, beacons } = JSON.parse(readFileSync(0))
const options = { disableBeaconVerification: false, noCache: false }
const taken = []
for (const beacon of beacons) {
  const client = { options, chain: () => ({ info: async () => info }), get: async () => beacon }
  const started = performance.now()
  await fetchBeacon(client, beacon.round)
  taken.push(performance.now() - started)
}
taken.shift()
taken.sort((a, b) => a - b)
console.log(taken[Math.floor(taken.length / 2)])
