"""An engine for bad moments: it does what FAKE_BEHAVIOUR says."""
