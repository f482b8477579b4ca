"""The demonstration: a federation on this machine, with generated accounts that belong to nobody."""
