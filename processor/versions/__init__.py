"""Model versions: following promotions, shadow scoring, canary checks."""
