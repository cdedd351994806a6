// Runs oidc-provider for the tests: reads one JSON object a line from standard input (people, keys, what to refuse) and answers each with a line.
import { createInterface } from "node:readline";
import { generateKeyPairSync, randomUUID } from "node:crypto";
import { createServer } from "node:http";
import { Provider } from "oidc-provider";

const port = Number(process.argv[2]);
const redirect = process.argv[3];
const issuer = `http://127.0.0.1:${port}`;
const state = { people: {}, who: null };

function key() {
  const { privateKey } = generateKeyPairSync("rsa", { modulusLength: 2048 });
  return { ...privateKey.export({ format: "jwk" }), kid: randomUUID(), use: "sig", alg: "RS256" };
}

function build() {
  const provider = new Provider(issuer, {
    clients: [
      {
        client_id: "tocsin",
        client_secret: "a secret & more",
        redirect_uris: [redirect],
        post_logout_redirect_uris: [redirect.replace("/provider/callback", "")],
      },
    ],
    jwks: { keys: [key()] },
    cookies: { keys: ["test"] },
    claims: { openid: ["sub"], email: ["email", "email_verified"], profile: ["name"], groups: ["groups"] },
    scopes: ["openid", "email", "profile", "groups"],
    features: { devInteractions: { enabled: false }, rpInitiatedLogout: { enabled: true } },
    pkce: { required: () => true },
    interactions: { url: (_, interaction) => `/interaction/${interaction.uid}` },
    findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, ...state.people[id] }) }),
    loadExistingGrant: async (ctx) => {
      const grant = new ctx.oidc.provider.Grant({ clientId: ctx.oidc.client.clientId, accountId: ctx.oidc.session.accountId });
      grant.addOIDCScope("openid email profile groups");
      await grant.save();
      return grant;
    },
  });
  return provider;
}

let provider = build();
const server = createServer(async (request, response) => {
  if (request.url.startsWith("/interaction/")) {
    const result = state.who === null ? { error: "access_denied" } : { login: { accountId: state.who } };
    await provider.interactionFinished(request, response, result, { mergeWithLastSubmission: false });
    return;
  }
  provider.callback()(request, response);
});
server.listen(port, "127.0.0.1", () => console.log("ready"));

createInterface({ input: process.stdin }).on("line", (line) => {
  const sent = JSON.parse(line);
  Object.assign(state, sent);
  if (sent.rotate) provider = build();
  console.log("done");
}).on("close", () => process.exit(0));
