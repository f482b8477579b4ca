"""The charter: a federation's members, keys, committees, budgets and policy, and how one version follows another."""
