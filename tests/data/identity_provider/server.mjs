// The certified provider, as a test needs it: one client, which gets tokens for any audience.
import Provider from "oidc-provider";

const port = Number(process.argv[2]);
const scope = "predict jobs";
const provider = new Provider(`http://127.0.0.1:${port}`, {
  clients: [{
    client_id: "course", client_secret: "of-a-test", grant_types: ["client_credentials"],
    redirect_uris: [], response_types: [],
  }],
  scopes: scope.split(" "),
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: true,
      getResourceServerInfo: (_context, resource) => ({
        scope, audience: resource, accessTokenFormat: "jwt", jwt: { sign: { alg: "RS256" } },
      }),
    },
  },
});
provider.listen(port, "127.0.0.1");
