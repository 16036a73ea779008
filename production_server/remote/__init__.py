"""Worker VMs, as their server sees them: accounts, rights, and how they come and go."""
