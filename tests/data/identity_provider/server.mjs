// The certified provider, as tests need it: a client for programs, which gets tokens for any audience,
// and one for the pages. Its development pages accept any name and password.
import Provider from "oidc-provider";

const [port, callback] = [Number(process.argv[2]), process.argv[3]];
const scope = "predict jobs";
const provider = new Provider(`http://localhost:${port}`, {
  clients: [{
    client_id: "course", client_secret: "of-a-test", grant_types: ["client_credentials"],
    redirect_uris: [], response_types: [],
  }, {
    client_id: "pages", token_endpoint_auth_method: "none", grant_types: ["authorization_code"],
    redirect_uris: [callback],
  }],
  claims: { openid: ["sub", "groups"] },
  conformIdTokenClaims: false,
  findAccount: (_context, sub) => ({ accountId: sub, claims: () => ({ sub, groups: ["students"] }) }),
  scopes: scope.split(" "),
  features: {
    clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, resource) => ({
        scope, audience: resource, accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});
provider.listen(port, "localhost");
