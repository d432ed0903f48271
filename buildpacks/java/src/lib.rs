//! The Java buildpack: executable and Spring Boot jars.
