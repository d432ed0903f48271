//! The one HTTP client: deadlines, size limits, credentials bound to their host.
