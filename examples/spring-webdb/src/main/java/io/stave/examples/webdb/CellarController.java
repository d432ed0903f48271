package io.stave.examples.webdb;

import java.util.List;
import org.springframework.http.MediaType;
import org.springframework.http.ResponseEntity;
import org.springframework.web.bind.annotation.GetMapping;
import org.springframework.web.bind.annotation.PathVariable;
import org.springframework.web.bind.annotation.RestController;

/** What the app answers over HTTP. */
@RestController
public class CellarController {

    private final Cellar cellar;

    CellarController(Cellar cellar) {
        this.cellar = cellar;
    }

    @GetMapping(path = "/", produces = MediaType.TEXT_PLAIN_VALUE)
    String greeting() {
        return "Welcome to the cellar. The casks are at /casks.\n";
    }

    @GetMapping("/casks")
    List<Cask> casks() {
        return cellar.casks();
    }

    @GetMapping("/casks/{id}")
    ResponseEntity<Cask> cask(@PathVariable("id") long id) {
        return ResponseEntity.of(cellar.cask(id));
    }
}
