// Does drand's JavaScript client verify what our nodes serve?
//
//   node check_client.mjs BASE_URL[,BASE_URL...] CHAIN_HASH PUBLIC_KEY ROUND...
//
// Fetches the chain's info, the given rounds, the latest one, and the next one as it is watched, with verification on
// and the chain pinned by hash and key. A changed beacon and another chain's key must be refused. Of several servers
// the first is the one tried; the client that picks the fastest gets them all. Prints one line of JSON and exits 0 only
// when all of that holds.
import assert from 'node:assert/strict'
import {
  FastestNodeClient, HttpCachingChain, HttpChain, HttpChainClient, MultiBeaconNode, fetchBeacon, roundAt, watch
} from 'drand-client'

const [baseUrls, chainHash, publicKey, ...rounds] = process.argv.slice(2)
const [baseUrl, ...others] = baseUrls.split(',')

const optionsFor = (key) => ({
  disableBeaconVerification: false,
  noCache: false,
  chainVerificationParams: { chainHash, publicKey: key }
})
const options = optionsFor(publicKey)
const url = `${baseUrl}/${chainHash}`
const client = new HttpChainClient(new HttpCachingChain(url, options), options)

async function fetchRounds () {
  const found = []
  for (const round of rounds.map(Number)) {
    const beacon = await fetchBeacon(client, round)
    assert.equal(beacon.round, round)
    found.push(beacon)
  }
  return found
}

async function fetchLatest (info) {
  const before = roundAt(Date.now(), info)
  const beacon = await fetchBeacon(client)
  assert.ok(beacon.round >= before, `latest is ${beacon.round}, ${before} was due`)
  return beacon
}

async function watchOne () {
  const stop = new AbortController()
  for await (const beacon of watch(client, stop)) {
    stop.abort()
    return beacon
  }
}

async function checkRefusals (beacon) {
  const changed = {
    options,
    chain: () => client.chain(),
    get: async () => ({ ...beacon, round: beacon.round + 1 })
  }
  const silent = console.error
  console.error = () => {}
  try {
    await assert.rejects(fetchBeacon(changed, beacon.round + 1), /not valid/)
  } finally {
    console.error = silent
  }
  const otherKey = optionsFor([...publicKey].reverse().join(''))
  const misled = new HttpChainClient(new HttpChain(url, otherKey), otherKey)
  await assert.rejects(fetchBeacon(misled, beacon.round))
}

async function checkNode () {
  const node = new MultiBeaconNode(baseUrl, options)
  const urls = (await node.chains()).map(chain => chain.baseUrl)
  assert.ok(urls.includes(url), `${url} is not among ${urls}`)
  const health = await node.health()
  assert.equal(health.status, 200)
  assert.ok(health.expected - health.current <= 1)
}

async function checkFastest () {
  const urls = [baseUrl, ...others].map(base => `${base}/${chainHash}`)
  const fastest = new FastestNodeClient(urls, options, 100)
  if (urls.length > 1) fastest.start()
  try {
    const beacon = await fetchBeacon(fastest, Number(rounds[0]))
    assert.equal(beacon.round, Number(rounds[0]))
  } finally {
    fastest.stop()
  }
}

const info = await client.chain().info()
const fetched = await fetchRounds()
const latest = await fetchLatest(info)
const watched = await watchOne()
await checkRefusals(fetched[0])
await checkNode()
await checkFastest()
console.log(JSON.stringify({
  scheme: info.schemeID,
  fetched: fetched.map(beacon => beacon.round),
  latest: latest.round,
  watched: watched.round
}))
