package io.stave.examples.webdb;

/**
 * A cask in the cellar.
 *
 * @param id its number
 * @param wood what its staves are made of
 * @param litres how much it holds
 */
public record Cask(long id, String wood, int litres) {}
