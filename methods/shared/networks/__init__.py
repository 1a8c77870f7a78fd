"""Networks, as functions of stacked parameters."""
