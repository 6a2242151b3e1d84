"""Networks, class maps, pseudo labels and losses: pure tensor code."""
