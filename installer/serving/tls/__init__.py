"""The depot's certificate: made here or given by the site, tried before it is used."""
