//! From source to image: detect, plan, build, layers, export, as functions over ports.
