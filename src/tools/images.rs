//! To come: images.
