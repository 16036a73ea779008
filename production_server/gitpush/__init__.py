"""`git push` to this server: an account, a repository, and a hook that puts new versions live."""
