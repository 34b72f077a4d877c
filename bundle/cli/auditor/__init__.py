"""Commands that an auditor needs: inspect and verify, with their pages."""
