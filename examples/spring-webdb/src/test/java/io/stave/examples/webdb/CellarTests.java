package io.stave.examples.webdb;

import static org.springframework.test.web.servlet.request.MockMvcRequestBuilders.get;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.content;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.jsonPath;
import static org.springframework.test.web.servlet.result.MockMvcResultMatchers.status;

import org.junit.jupiter.api.Test;
import org.springframework.beans.factory.annotation.Autowired;
import org.springframework.boot.test.autoconfigure.web.servlet.AutoConfigureMockMvc;
import org.springframework.boot.test.context.SpringBootTest;
import org.springframework.test.web.servlet.MockMvc;

/** The whole app with its real database; only the network is left out. */
@SpringBootTest
@AutoConfigureMockMvc
class CellarTests {

    @Autowired
    private MockMvc http;

    @Test
    void greets() throws Exception {
        http.perform(get("/"))
            .andExpect(status().isOk())
            .andExpect(content().string("Welcome to the cellar. The casks are at /casks.\n"));
    }

    @Test
    void listsTheCasksOfTheDatabase() throws Exception {
        http.perform(get("/casks"))
            .andExpect(status().isOk())
            .andExpect(content().json(
                """
                [{"id":1,"wood":"oak","litres":225},
                 {"id":2,"wood":"chestnut","litres":300},
                 {"id":3,"wood":"acacia","litres":228}]
                """));
    }

    @Test
    void findsOneCask() throws Exception {
        http.perform(get("/casks/2")).andExpect(status().isOk()).andExpect(jsonPath("$.wood").value("chestnut"));
        http.perform(get("/casks/9")).andExpect(status().isNotFound());
    }
}
