insert into cask (id, wood, litres) values
    (1, 'oak', 225),
    (2, 'chestnut', 300),
    (3, 'acacia', 228);
