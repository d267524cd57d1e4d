"""Records: the ledger of what is owed to the API, and its delivery."""
