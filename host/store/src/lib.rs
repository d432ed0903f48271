//! Content-addressed blobs, kept results and built images on disk.
