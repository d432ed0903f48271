//! Finds and fetches declared dependencies through the registry settings of the user's own tools.
