create table cask (
    id     bigint primary key,
    wood   varchar(40) not null,
    litres int not null
);
