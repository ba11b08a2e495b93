/* must be refused by check_model.sh: terminate is not for ever here */
byte severity = 0;
bool began = false;

active proctype cycle() {
    do
    :: severity = 5
    :: severity = 4
    :: severity = 0
    :: began = !began
    od
}

ltl absorbing { [] (severity == 5 -> [] (severity == 5)) }
ltl silenced { [] (severity == 5 -> [] !began) }
ltl unreachable { [] (severity != 5) }
ltl motionless { [] !began }
ltl stuck { [] (severity == 4 -> [] !began) }
