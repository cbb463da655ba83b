// Locks and opens files with tlock-js, against a chain served on this machine.
//
//   node check_tlock.mjs lock BASE_URL CHAIN_HASH PUBLIC_KEY ROUND PLAIN BINARY ARMORED
//   node check_tlock.mjs open BASE_URL CHAIN_HASH PUBLIC_KEY FILE PLAIN
//
// `lock` writes PLAIN's content in both forms: ARMORED is what tlock-js gives, BINARY the same with its armor taken off.
// `open` takes either form. Exits 0 when all was written; the error's message goes to stderr.
import { readFileSync, writeFileSync } from 'node:fs'
import tlock from 'tlock-js'

const [verb, baseUrl, chainHash, publicKey, ...rest] = process.argv.slice(2)
const { HttpCachingChain, HttpChainClient, timelockDecrypt, timelockEncrypt } = tlock
const options = {
  disableBeaconVerification: false,
  noCache: false,
  chainVerificationParams: { chainHash, publicKey }
}
const chain = new HttpCachingChain(`${baseUrl}/${chainHash}`, options)
const client = new HttpChainClient(chain, options)
console.log = () => {} // it prints the beacon that it received

async function lock (round, plain, binary, armored) {
  const text = await timelockEncrypt(Number(round), readFileSync(plain), client)
  writeFileSync(armored, text, 'latin1')
  const body = text.split('\n').filter(line => !line.startsWith('-----')).join('')
  writeFileSync(binary, Buffer.from(body, 'base64'))
}

async function open (file, plain) {
  writeFileSync(plain, await timelockDecrypt(readFileSync(file, 'latin1'), client))
}

try {
  await { lock, open }[verb](...rest)
} catch (error) {
  console.error(error.message)
  process.exit(1)
}
