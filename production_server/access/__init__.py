"""Who may do what: scopes, the policy of each route, and tokens."""
