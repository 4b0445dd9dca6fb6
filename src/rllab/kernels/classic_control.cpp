// Gymnasium's classic-control envs, row by row: the same physics in the same order, in 64 bits.
#include <algorithm>
#include <cmath>
#include <cstdint>

namespace {

constexpr double PI = 3.14159265358979323846;
enum Kind { CARTPOLE, ACROBOT, PENDULUM, MOUNTAIN_CAR, MOUNTAIN_CAR_CONTINUOUS };
typedef double (*Draw)(void*);

double clip(double x, double low, double high) { return x < low ? low : x > high ? high : x; }

struct Outcome { double reward; bool terminated; };

Outcome cartpole(double* s, int64_t action, bool sutton_barto) {
    const double gravity = 9.8, masspole = 0.1, total = 0.1 + 1.0, length = 0.5, polemass_length = 0.1 * 0.5, tau = 0.02;
    const double cosine = std::cos(s[2]), sine = std::sin(s[2]), force = action == 1 ? 10.0 : -10.0;
    const double temp = (force + polemass_length * (s[3] * s[3]) * sine) / total;
    const double theta_acc = (gravity * sine - cosine * temp) / (length * (4.0 / 3.0 - masspole * (cosine * cosine) / total));
    const double x_acc = temp - polemass_length * theta_acc * cosine / total;
    s[0] += tau * s[1];
    s[1] += tau * x_acc;
    s[2] += tau * s[3];
    s[3] += tau * theta_acc;
    const bool fallen = std::fabs(s[0]) > 2.4 || std::fabs(s[2]) > 12 * 2 * PI / 360;
    return {sutton_barto ? (fallen ? -1.0 : 0.0) : 1.0, fallen};
}

void acrobot_rate(const double* s, double torque, double* rate) {
    const double m = 1.0, l = 1.0, lc = 0.5, inertia = 1.0, g = 9.8;
    const double d1 = m * lc * lc + m * (l * l + lc * lc + 2 * l * lc * std::cos(s[1])) + inertia + inertia;
    const double d2 = m * (lc * lc + l * lc * std::cos(s[1])) + inertia;
    const double phi2 = m * lc * g * std::cos(s[0] + s[1] - PI / 2.0);
    const double phi1 = -m * l * lc * (s[3] * s[3]) * std::sin(s[1]) - 2 * m * l * lc * s[3] * s[2] * std::sin(s[1]) +
                        (m * lc + m * l) * g * std::cos(s[0] - PI / 2) + phi2;
    const double acc2 = (torque + d2 / d1 * phi1 - m * l * lc * (s[2] * s[2]) * std::sin(s[1]) - phi2) /
                        (m * lc * lc + inertia - d2 * d2 / d1);
    rate[0] = s[2];
    rate[1] = s[3];
    rate[2] = -(d2 * acc2 + phi1) / d1;
    rate[3] = acc2;
}

double wrap(double x) {
    while (x > PI) x -= 2 * PI;
    while (x < -PI) x += 2 * PI;
    return x;
}

Outcome acrobot(double* s, int64_t action) {  // a step of Runge and Kutta
    const double dt = 0.2, torque = double(action) - 1.0;
    double k[4][4], at[4];
    acrobot_rate(s, torque, k[0]);
    for (int i = 1; i < 4; ++i) {
        for (int j = 0; j < 4; ++j) at[j] = s[j] + (i < 3 ? dt / 2.0 : dt) * k[i - 1][j];
        acrobot_rate(at, torque, k[i]);
    }
    for (int j = 0; j < 4; ++j) s[j] += dt / 6.0 * (k[0][j] + 2 * k[1][j] + 2 * k[2][j] + k[3][j]);
    s[0] = wrap(s[0]);
    s[1] = wrap(s[1]);
    s[2] = clip(s[2], -4 * PI, 4 * PI);
    s[3] = clip(s[3], -9 * PI, 9 * PI);
    const bool reached = -std::cos(s[0]) - std::cos(s[1] + s[0]) > 1.0;
    return {reached ? 0.0 : -1.0, reached};
}

Outcome pendulum(double* s, float action, double gravity) {
    const double u = clip(action, -2.0, 2.0), turn = s[0] + PI;
    const double angle = turn - 2 * PI * std::floor(turn / (2 * PI)) - PI;
    const double cost = angle * angle + 0.1 * (s[1] * s[1]) + 0.001 * (u * u);
    s[1] = clip(s[1] + (3 * gravity / 2.0 * std::sin(s[0]) + 3.0 * u) * 0.05, -8.0, 8.0);
    s[0] += s[1] * 0.05;
    return {-cost, false};
}

Outcome mountain_car(double* s, double push, double goal, double goal_velocity) {
    s[1] = clip(s[1] + (push - 0.0025 * std::cos(3 * s[0])), -0.07, 0.07);
    s[0] = clip(s[0] + s[1], -1.2, 0.6);
    if (s[0] == -1.2 && s[1] < 0) s[1] = 0;
    return {-1.0, s[0] >= goal && s[1] >= goal_velocity};
}

Outcome mountain_car_continuous(double* s, float action, double goal_velocity) {
    Outcome outcome = mountain_car(s, clip(action, -1.0, 1.0) * 0.0015, 0.45, goal_velocity);
    s[0] = float(s[0]);  // Gymnasium keeps this state in 32 bits
    s[1] = float(s[1]);
    return {(outcome.terminated ? 100.0 : 0.0) - double(action) * double(action) * 0.1, outcome.terminated};
}

}  // namespace

extern "C" {

struct Rows {
    int kind, max_steps, obs_size;
    double option;        // the one argument that some envs have
    double* state;        // [rows, 4]
    int64_t* steps;       // of the present episodes
    uint8_t* ended;       // in the latest step, so that this one resets
    const Draw* draw;     // of each row's generator: uniform on [0, 1)
    void* const* generator;
};

static void observe(const Rows& r, const double* s, float* obs) {
    switch (r.kind) {
        case CARTPOLE: for (int i = 0; i < 4; ++i) obs[i] = float(s[i]); break;
        case ACROBOT:
            for (int i = 0; i < 2; ++i) { obs[2 * i] = float(std::cos(s[i])); obs[2 * i + 1] = float(std::sin(s[i])); }
            obs[4] = float(s[2]);
            obs[5] = float(s[3]);
            break;
        case PENDULUM: obs[0] = float(std::cos(s[0])); obs[1] = float(std::sin(s[0])); obs[2] = float(s[1]); break;
        default: obs[0] = float(s[0]); obs[1] = float(s[1]);
    }
}

void reset_row(const Rows* rows, long row, float* obs) {
    const Rows& r = *rows;
    double* s = r.state + 4 * row;
    auto uniform = [&](double low, double high) { return low + (high - low) * r.draw[row](r.generator[row]); };
    switch (r.kind) {
        case CARTPOLE: for (int i = 0; i < 4; ++i) s[i] = uniform(-0.05, 0.05); break;
        case ACROBOT: for (int i = 0; i < 4; ++i) s[i] = float(uniform(-0.1, 0.1)); break;
        case PENDULUM: s[0] = uniform(-PI, PI); s[1] = uniform(-1.0, 1.0); break;
        default: s[0] = uniform(-0.6, -0.4); s[1] = 0;
    }
    r.steps[row] = 0;
    r.ended[row] = 0;
    observe(r, s, obs + row * r.obs_size);
}

// One step of the rows from `begin` to `end`; those that ended in the latest one are reset instead.
void step_rows(const Rows* rows, long begin, long end, const void* actions, float* obs, double* reward, uint8_t* terminated, uint8_t* truncated) {
    const Rows& r = *rows;
    const int64_t* chosen = static_cast<const int64_t*>(actions);
    const float* real = static_cast<const float*>(actions);
    for (long row = begin; row < end; ++row) {
        Outcome outcome{0.0, false};
        truncated[row] = 0;
        if (r.ended[row]) {
            reset_row(rows, row, obs);
        } else {
            double* s = r.state + 4 * row;
            switch (r.kind) {
                case CARTPOLE: outcome = cartpole(s, chosen[row], r.option != 0); break;
                case ACROBOT: outcome = acrobot(s, chosen[row]); break;
                case PENDULUM: outcome = pendulum(s, real[row], r.option); break;
                case MOUNTAIN_CAR: outcome = mountain_car(s, (double(chosen[row]) - 1) * 0.001, 0.5, r.option); break;
                default: outcome = mountain_car_continuous(s, real[row], r.option);
            }
            truncated[row] = ++r.steps[row] >= r.max_steps;
            r.ended[row] = outcome.terminated || truncated[row];
            observe(r, s, obs + row * r.obs_size);
        }
        reward[row] = outcome.reward;
        terminated[row] = outcome.terminated;
    }
}
}
