package io.stave.examples.webdb;

import java.util.List;
import java.util.Optional;
import org.springframework.jdbc.core.simple.JdbcClient;
import org.springframework.stereotype.Repository;

/** The casks, as the database holds them. */
@Repository
public class Cellar {

    private final JdbcClient database;

    Cellar(JdbcClient database) {
        this.database = database;
    }

    /** Every cask, by number. */
    public List<Cask> casks() {
        return database.sql("select id, wood, litres from cask order by id").query(Cask.class).list();
    }

    /** The cask with that number. */
    public Optional<Cask> cask(long id) {
        return database.sql("select id, wood, litres from cask where id = ?").param(id).query(Cask.class).optional();
    }
}
