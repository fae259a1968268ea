"""What several tests share: small models, made-up posteriors, pages of the documentation."""
