"""What watches a session and takes part in it; no feature knows another."""
