SELECT EXISTS(SELECT 1 FROM pg_publication WHERE pubname = 'shelfcast') AS publication_exists
