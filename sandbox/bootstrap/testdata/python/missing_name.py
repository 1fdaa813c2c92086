from cases import not_there
