"""FinancialAnalyst's capabilities, one group per file; `agents.financial_analyst` puts them together."""
