"""MacroHound's capabilities, one group per file; `agents.macro_hound` puts them together."""
