// A relying party on npm's openid-client that a Go test drives: one JSON object
// a line asks for one call of the library, one line answers. Sign-ins come back
// over HTTP to /N, as they would in production. It ends with standard input.
import { webcrypto } from 'node:crypto'
import { createServer } from 'node:http'
import { createInterface } from 'node:readline'

globalThis.crypto ??= webcrypto // Node 18 has them, and no global names for them
globalThis.CryptoKey ??= webcrypto.CryptoKey
const client = await import('openid-client')

const keys = new Map() // private ones, by their kid
const parties = new Map() // by their path: { config, begun, use }; begun: the checks of each state

// What a test may ask for. A name of the library's own takes its parameters.
const calls = {
  // A key pair for private_key_jwt; its public half is the answer.
  async generateKey({ algorithm, kid }) {
    const rsa = { modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' }
    const kinds = {
      ES256: { name: 'ECDSA', namedCurve: 'P-256' },
      Ed25519: { name: 'Ed25519' },
      PS256: { name: 'RSA-PSS', ...rsa },
      RS256: { name: 'RSASSA-PKCS1-v1_5', ...rsa },
    }
    const pair = await crypto.subtle.generateKey(kinds[algorithm], false, ['sign', 'verify'])
    keys.set(kid, { key: pair.privateKey, kid })
    return { ...(await crypto.subtle.exportKey('jwk', pair.publicKey)), kid, use: 'sig' }
  },

  // With issuer, id and secret alone, unless the test says how the client
  // authenticates. Every ID token's signature is checked.
  async discovery({ party, issuer, id, secret, metadata, skew, authentication, kid, use }) {
    const told = metadata || skew ? { client_secret: secret, [client.clockSkew]: skew, ...metadata } : secret
    const config = await client.discovery(new URL(issuer), id, told, method(authentication, secret ?? keys.get(kid)), {
      execute: [client.allowInsecureRequests, client.enableNonRepudiationChecks], // the issuer is http on loopback
    })
    if (use) client[use](config) // another response type than code
    parties.set(party, { config, begun: new Map(), use })
    return config.serverMetadata()
  },

  // With PKCE, state and nonce. The checks are those of the answer to come.
  async buildAuthorizationUrl({ config, begun }, { parameters, checks }) {
    const pkceCodeVerifier = client.randomPKCECodeVerifier()
    const [expectedState, expectedNonce] = [client.randomState(), client.randomNonce()]
    begun.set(expectedState, { pkceCodeVerifier, expectedState, expectedNonce, ...checks })
    return client.buildAuthorizationUrl(config, {
      code_challenge: await client.calculatePKCECodeChallenge(pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: expectedState,
      nonce: expectedNonce,
      ...parameters,
    })
  },

  refreshTokenGrant: ({ config }, { token, parameters }) => client.refreshTokenGrant(config, token, parameters).then(withClaims),
  clientCredentialsGrant: ({ config }, { parameters }) => client.clientCredentialsGrant(config, parameters).then(withClaims),
  fetchUserInfo: ({ config }, { token, subject }) => client.fetchUserInfo(config, token, subject),
  tokenIntrospection: ({ config }, { token, parameters }) => client.tokenIntrospection(config, token, parameters),
  tokenRevocation: ({ config }, { token, parameters }) => client.tokenRevocation(config, token, parameters),
  buildEndSessionUrl: ({ config }, { parameters }) => client.buildEndSessionUrl(config, parameters),
}

// method is the library's own default, client_secret_post, unless it is named.
function method(name, proof) {
  switch (name) {
    case undefined:
      return undefined
    case 'client_secret_basic':
      return client.ClientSecretBasic(proof)
    case 'private_key_jwt':
      return client.PrivateKeyJwt(proof)
    case 'none':
      return client.None()
  }
  throw new Error(`no authentication ${name}`)
}

const withClaims = (tokens) => ({ tokens, claims: tokens.claims() })

// trouble is what the library threw, with what the provider said.
const trouble = (e) => ({ name: e.name, code: e.code, message: e.message, error: e.error, description: e.error_description, status: e.status, cause: e.cause?.message })

// The redirect. It answers with the tokens, for the test to read in the browser.
async function callback(request) {
  const url = new URL(request.url)
  const { config, begun, use } = parties.get(url.pathname)
  const answer = request.method === 'POST' ? new URLSearchParams(await request.clone().text()) : url.searchParams
  const state = answer.get('state')
  const checks = begun.get(state)
  begun.delete(state)
  const told = request.method === 'POST' ? request : url
  if (use === 'useIdTokenResponseType') {
    return { claims: await client.implicitAuthentication(config, told, checks.expectedNonce, checks) }
  }
  return withClaims(await client.authorizationCodeGrant(config, told, checks))
}

const server = createServer(async (incoming, outgoing) => {
  const answer = (status, value) => outgoing.writeHead(status, { 'content-type': 'application/json' }).end(JSON.stringify(value))
  try {
    const chunks = []
    for await (const chunk of incoming) chunks.push(chunk)
    const url = new URL(incoming.url, base)
    if (!parties.has(url.pathname)) return outgoing.writeHead(204).end() // a browser asks for its icon
    const { method, headers } = incoming
    answer(200, await callback(new Request(url, { method, headers, body: method === 'POST' ? Buffer.concat(chunks) : undefined })))
  } catch (e) {
    answer(400, trouble(e))
  }
})
await new Promise((listening) => server.listen(0, '127.0.0.1', listening))
const base = `http://127.0.0.1:${server.address().port}`

const say = (value) => process.stdout.write(JSON.stringify(value) + '\n')
say({ base })
for await (const line of createInterface({ input: process.stdin })) {
  const { call, ...told } = JSON.parse(line)
  try {
    const result = parties.has(told.party) && call !== 'discovery' ? await calls[call](parties.get(told.party), told) : await calls[call](told)
    say({ result: result ?? null })
  } catch (e) {
    say({ trouble: trouble(e) })
  }
}
process.exit()
